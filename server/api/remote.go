package api

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base32"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"dotmesh.io/dotmesh"
)

const dialTimeout = 5 * time.Second

// Remote is a server as a client knows it.
type Remote struct {
	URL    string         // unix:///path, http://host:port of this machine, https://host[:port]
	User   dotmesh.Name   // empty: whoever the unix socket says the caller is
	Key    dotmesh.Secret // the user's API key or password
	CAHash string         // https: base32 SHA-256 of the only certificate authority to trust; empty: the system's
}

// target is where a remote's requests go.
type target struct {
	base      string // scheme and host of every request
	transport *http.Transport
}

// resolve reads a remote's URL.
func (r Remote) resolve() (target, error) {
	const op = "api.NewClient"
	u, err := url.Parse(r.URL)
	if err != nil {
		return target{}, dotmesh.E(op, dotmesh.Invalid, "invalid server address %q; write unix:///path, http://localhost:32607 or https://host", clip(r.URL))
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	transport := &http.Transport{
		DialContext:         dialer.DialContext,
		DisableCompression:  true,
		MaxIdleConnsPerHost: maxRunning,
		IdleConnTimeout:     idleTimeout / 2, // before the server hangs up
		TLSHandshakeTimeout: dialTimeout,
	}
	switch {
	case u.User != nil:
		return target{}, dotmesh.E(op, dotmesh.Invalid, "the server address holds a user name or key; give them apart from it")
	case u.Scheme == "unix" && u.Host == "" && u.Path != "":
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", u.Path)
		}
		return target{"http://localhost", transport}, nil
	case u.Scheme == "http" && u.Host != "" && isLoopback(u.Hostname()):
		return target{"http://" + u.Host, transport}, nil
	case u.Scheme == "http" && u.Host != "":
		return target{}, dotmesh.E(op, dotmesh.Invalid, "http:// to %s would send the key in clear; use https://", clip(u.Hostname()))
	case u.Scheme == "https" && u.Host != "":
		transport.TLSClientConfig, err = r.tlsConfig(u.Hostname())
		return target{"https://" + u.Host, transport}, err
	}
	return target{}, dotmesh.E(op, dotmesh.Invalid, "invalid server address %q; write unix:///path, http://localhost:32607 or https://host", clip(r.URL))
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// tlsConfig trusts the system's authorities or, with a CAHash, exactly that one: the
// server must send it along, and must be called host by it.
func (r Remote) tlsConfig(host string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: host}
	if r.CAHash == "" {
		return config, nil
	}
	pin, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(strings.TrimRight(r.CAHash, "=")))
	if err != nil || len(pin) != sha256.Size {
		return nil, dotmesh.E("api.NewClient", dotmesh.Invalid, "invalid CA hash %q: it is the base32 SHA-256 of a certificate", clip(r.CAHash))
	}
	config.InsecureSkipVerify = true // VerifyConnection does it, against the pin
	config.VerifyConnection = func(state tls.ConnectionState) error {
		return verifyPinned(state, [sha256.Size]byte(pin), host)
	}
	return config, nil
}

func verifyPinned(state tls.ConnectionState, pin [sha256.Size]byte, host string) error {
	options := x509.VerifyOptions{DNSName: host, Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	found := false
	for _, cert := range state.PeerCertificates {
		if sha256.Sum256(cert.Raw) == pin {
			options.Roots.AddCert(cert)
			found = true
		} else {
			options.Intermediates.AddCert(cert)
		}
	}
	if !found {
		return dotmesh.E("api.verify", dotmesh.Unauthenticated, "the server is not of the cluster that this remote was made for; if that is meant, remove the remote and add it again")
	}
	_, err := state.PeerCertificates[0].Verify(options)
	return err
}
