package api

import (
	"encoding/json"
	"iter"
	"net/http"
	"runtime"
	"sync"

	"dotmesh.io/dotmesh"
)

// A list that is at hand as a whole is encoded by all processors, a block of lines at a
// time, and leaves in its order.

const blockLines = 64 // 50 KiB of dots

// block is lines that are encoded, with their ends.
type block []byte

// inBlocks is the source of the lists that list returns.
func inBlocks[T any](list func(*http.Request) ([]T, error)) source {
	return func(r *http.Request) iter.Seq2[any, error] {
		return func(yield func(any, error) bool) {
			values, err := list(r)
			if err != nil {
				yield(nil, err)
				return
			}
			for b, err := range blocksOf(values) {
				if !yield(b, dotmesh.Wrap("api.stream", err)) {
					return
				}
			}
		}
	}
}

// blocksOf yields all values in their order, up to the block with the first that cannot be
// encoded. No more than two blocks for each processor are ahead of the loop, and nothing
// runs any more when it has ended.
func blocksOf[T any](values []T) iter.Seq2[block, error] {
	return func(yield func(block, error) bool) {
		var workers sync.WaitGroup
		defer workers.Wait()
		var ahead []chan encoded
		for len(values) > 0 || len(ahead) > 0 {
			for len(values) > 0 && len(ahead) < 2*runtime.GOMAXPROCS(0) {
				part := values[:min(blockLines, len(values))]
				values = values[len(part):]
				done := make(chan encoded, 1) // nobody has to take it
				workers.Go(func() { done <- encodeBlock(part) })
				ahead = append(ahead, done)
			}
			next := <-ahead[0]
			ahead = ahead[1:]
			if !yield(next.block, next.err) || next.err != nil {
				return
			}
		}
	}
}

// encoded is a block, or why there is none.
type encoded struct {
	block
	err error
}

func encodeBlock[T any](values []T) encoded {
	b := make([]byte, 0, 1024*len(values))
	for i := range values {
		line, err := json.Marshal(&values[i])
		if err != nil {
			return encoded{err: err}
		}
		b = append(append(b, line...), '\n')
	}
	return encoded{block: b}
}
