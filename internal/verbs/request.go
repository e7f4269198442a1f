package verbs

import "dotmesh.io/dotmesh"

// Ask writes a request that goes with a lease.
func Ask(r dotmesh.Request, lease int64) Verb {
	return func(tx *Tx) error {
		if err := CheckRequest(&r); err != nil {
			return err
		}
		key := requestKey(r.Node, r.ID)
		tx.want(key, responseKey(r.ID), nodeKey(r.Node))
		if there := read[dotmesh.Request](tx, key); there != nil {
			if same(there, &r) {
				return nil
			}
			return exists("the id of the request is in use")
		}
		if tx.item(responseKey(r.ID)).Mod != 0 {
			return nil // asked before, and answered since
		}
		if read[dotmesh.Node](tx, nodeKey(r.Node)) == nil {
			return absent("there is no node %s", r.Node)
		}
		if !r.Branch.IsZero() {
			if _, err := expect(tx, r.Branch, r.Expect); err != nil {
				return err
			}
		}
		tx.lend(key, &r, lease)
		return nil
	}
}

// CheckRequest checks what a request says of itself.
func CheckRequest(r *dotmesh.Request) error {
	switch {
	case r.ID.IsZero() || r.Node == "" || r.From == "" || r.Call == "":
		return invalid("a request needs an id, who is asked, who asks and for what")
	case r.Life <= 0 || r.Life > dotmesh.MaxAsk:
		return invalid("a request waits for at most %s", dotmesh.MaxAsk)
	}
	return checkBody(r.Body)
}

func checkBody(body []byte) error {
	if len(body) > dotmesh.MaxBody {
		return invalid("a request or response of %d bytes may have %d", len(body), dotmesh.MaxBody)
	}
	return nil
}

// Answer ends a request that is not done. The response by which it has ended is put into
// ended.
func Answer(node dotmesh.NodeID, r dotmesh.Response, ended *dotmesh.Response) Verb {
	return func(tx *Tx) error {
		switch {
		case r.ID.IsZero() || node == "":
			return invalid("an answer needs the request's id and who was asked")
		case r.Kind == "":
			return invalid("only what does the work says that it is done")
		}
		if err := checkBody(r.Body); err != nil {
			return err
		}
		key := requestKey(node, r.ID)
		tx.want(key, responseKey(r.ID))
		*ended = r
		if there := read[dotmesh.Response](tx, responseKey(r.ID)); there != nil {
			*ended = *there
			return nil
		}
		return end(tx, key, &r)
	}
}

// end takes a request away and leaves a response in its place, for as long as the request
// would have been there.
func end(tx *Tx, key string, r *dotmesh.Response) error {
	request := tx.item(key)
	if request.Mod == 0 {
		return absent("the request is not there any more; its time was over")
	}
	tx.drop(key)
	tx.lend(responseKey(r.ID), r, request.Lease)
	return nil
}

// replying makes a verb end a request with what it does, and do nothing without it. A verb
// that finds its own earlier success has ended the request with that.
func replying(reply *dotmesh.Reply, verb Verb) Verb {
	if reply == nil {
		return verb
	}
	return func(tx *Tx) error {
		if reply.ID.IsZero() || reply.Node == "" {
			return invalid("a reply needs the request's id and who was asked")
		}
		if err := checkBody(reply.Body); err != nil {
			return err
		}
		key := requestKey(reply.Node, reply.ID)
		tx.want(key, responseKey(reply.ID))
		if err := verb(tx); err != nil {
			return err
		}
		done := len(tx.writes) == 0
		there := read[dotmesh.Response](tx, responseKey(reply.ID))
		switch {
		case there != nil && there.Kind == "" && done:
			return nil
		case there != nil:
			return conflict("the request was answered before, or taken back")
		case done && tx.item(key).Mod == 0:
			return nil // the response has gone, too
		}
		return end(tx, key, &dotmesh.Response{ID: reply.ID, Body: reply.Body})
	}
}
