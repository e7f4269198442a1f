package server

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"dotmesh.io/dotmesh"
)

// The cost of a password: OWASP's least for argon2id.
const (
	argonTime    = 2
	argonMemory  = 19 * 1024 // KiB
	argonThreads = 1
	minPassword  = 7
)

// Authenticate implements dotmesh.Gate. A wrong name, key or password gets the same answer
// after the same work: one key and one password are hashed, whether or not there is such a
// user, and whether or not they have a password. How often somebody may try is the door's
// to limit. One password is checked at a time, since each costs a core for a moment.
func (n *Node) Authenticate(ctx context.Context, name dotmesh.Name, secret dotmesh.Secret) (dotmesh.Principal, error) {
	refused := dotmesh.E("server.Authenticate", dotmesh.Unauthenticated, "Permission denied: please check that your API key is still valid")
	u := n.view.findUser(func(u *dotmesh.User) bool { return u.Name == name })
	if u == nil {
		u = &dotmesh.User{} // nobody: no key and no password is right
	}
	if secret == "" {
		return dotmesh.Principal{}, refused
	}
	who := dotmesh.Principal{User: u.ID, Name: u.Name, Admin: u.ID == dotmesh.AdminID}
	if isKey(u, secret) {
		return who, nil
	}
	select {
	case <-n.logins:
		defer func() { n.logins <- struct{}{} }()
	case <-ctx.Done():
		return dotmesh.Principal{}, dotmesh.Wrap("server.Authenticate", ctx.Err())
	}
	if !isPassword(u.PasswordHash, secret) {
		return dotmesh.Principal{}, refused
	}
	who.Password = true
	return who, nil
}

// newKey returns a random API key of 256 bits.
func newKey() dotmesh.Secret {
	var b [32]byte
	rand.Read(b[:]) // never fails, as crypto/rand documents
	return dotmesh.Secret(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}

// hashKey returns what is stored of a user's API key. A fast hash is right for a key of
// 256 random bits; the user's id in it keeps equal keys apart.
func hashKey(u dotmesh.UserID, key dotmesh.Secret) string {
	mac := hmac.New(sha256.New, u.UUID[:])
	mac.Write([]byte(key))
	return hex.EncodeToString(mac.Sum(nil))
}

func isKey(u *dotmesh.User, key dotmesh.Secret) bool {
	right := hmac.Equal([]byte(u.KeyHash), []byte(hashKey(u.ID, key)))
	return right && u.KeyHash != ""
}

// hashPassword returns the PHC string of a password.
func hashPassword(password dotmesh.Secret) (string, error) {
	if len(password) < minPassword {
		return "", dotmesh.E("server.hashPassword", dotmesh.Invalid, "a password needs at least %d characters", minPassword)
	}
	var salt [16]byte
	rand.Read(salt[:]) // never fails, as crypto/rand documents
	sum := argon2.IDKey([]byte(password), salt[:], argonTime, argonMemory, argonThreads, 32)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		b64.EncodeToString(salt[:]), b64.EncodeToString(sum)), nil
}

// isPassword compares a password with a PHC string of this program's own parameters. It
// takes as long for a string that is none, which no password fits.
func isPassword(phc string, password dotmesh.Secret) bool {
	salt, want, ok := parsePHC(phc)
	got := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, 32)
	return subtle.ConstantTimeCompare(got, want) == 1 && ok
}

func parsePHC(phc string) (salt, sum []byte, ok bool) {
	prefix := fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, argonMemory, argonTime, argonThreads)
	rest, ok := strings.CutPrefix(phc, prefix)
	salt64, sum64, found := strings.Cut(rest, "$")
	salt, saltErr := base64.RawStdEncoding.DecodeString(salt64)
	sum, sumErr := base64.RawStdEncoding.DecodeString(sum64)
	return salt, sum, ok && found && saltErr == nil && sumErr == nil
}
