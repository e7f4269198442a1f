package feed

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Panic is a panic on one of the feed's goroutines. Run ends with it, so that whoever shows
// the picture can give the terminal back before the program dies of it.
type Panic struct {
	Value any
	Stack []byte // of the goroutine
}

func (p *Panic) Error() string { return fmt.Sprintf("panic: %v\n\n%s", p.Value, p.Stack) }

// caught is run with a panic as its error.
func caught(run func() error) func() error {
	return func() (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = &Panic{v, debug.Stack()}
			}
		}()
		return run()
	}
}

func panicked(err error) bool {
	_, yes := errors.AsType[*Panic](err)
	return yes
}
