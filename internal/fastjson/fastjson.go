// Package fastjson is encoding/json where it would be the costly part: for values that
// come by the ten thousand, from the registry at a start and to dm in a list. It reads
// exactly what encoding/json does, in about half of its time; see docs/decisions/0107.
package fastjson

import (
	"github.com/go-json-experiment/json"
	v1 "github.com/go-json-experiment/json/v1"
)

// Unmarshal is [encoding/json.Unmarshal].
func Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v, v1.DefaultOptionsV1()) }
