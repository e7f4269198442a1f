// Package frame is how commits look on their way from one store to another.
//
// A stream is a preamble, then one step for each commit, then an end. A step is a header,
// which says what is coming, the body in chunks, and a trailer:
//
//	preamble   "dotmesh stream 1\n"
//	frame      kind (1 byte), length (4), CRC-32C of kind, length and payload (4), payload
//	step       H: Header as JSON    B: up to 1 MiB of the body …    T: body's size (8), SHA-256 (32)
//	end        E: empty
//
// Numbers are big-endian. The SHA-256 is that of two others, of the header's payload and of
// the body, so that a body cannot be put under another header. What a body means is the
// stores' business: the package knows how much of it came, and that it is what was sent.
//
// Where a stream broke off, its receiver may have the first bytes of a body. The next stream
// leaves them out: its header's offset says how many they are, and its trailer vouches for
// the whole body, so that two ends which do not belong together are not taken for one.
//
// Nothing is allocated for what a frame says of itself before that has been compared with
// the limits, and no byte of a chunk is handed out before its CRC was right.
package frame
