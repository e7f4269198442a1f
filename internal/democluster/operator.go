package democluster

type machine struct{}

func newMachine() machine { return machine{} }
