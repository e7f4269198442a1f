package verbs

// For the tests.
var (
	Merge    = encode
	Identity = identity
	Same     = same
)
