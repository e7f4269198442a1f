// Package plan decides and does nothing: values in, values out. It knows what a reference
// means, whose snapshot is whose after a crash, whether a registry is the one that this
// node knows, what a deletion leaves reachable, and how a lost registry is put together
// again. It reads no clock, file or network, so that every case is a row of a table.
package plan
