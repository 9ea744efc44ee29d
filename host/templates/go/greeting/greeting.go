// Package greeting needs no host, so that `go test` can run it.
package greeting

// Of is the greeting of somebody.
func Of(name string) string {
	return "hello " + name
}
