// Package traffic puts requests of a log together. It is plain Go: nothing in here knows that it runs in a sandbox.
package traffic

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Request is a line of the log.
type Request struct {
	Service string `json:"service"`
	Region  string `json:"region"`
	Path    string `json:"path"`
	Status  int    `json:"status"`
	Millis  uint32 `json:"ms"`
}

// Parse reads a line.
func Parse(line []byte) (Request, error) {
	var request Request
	if err := json.Unmarshal(line, &request); err != nil {
		return request, err
	}
	if request.Service == "" {
		return request, errors.New("`service` is missing")
	}
	if request.Status < 100 || 599 < request.Status {
		return request, fmt.Errorf("`status` is %d", request.Status)
	}
	return request, nil
}

// IsBelow tells whether the path begins with one of these; there need not be any.
func (request Request) IsBelow(prefixes []string) bool {
	has := func(prefix string) bool { return strings.HasPrefix(request.Path, prefix) }
	return len(prefixes) == 0 || slices.ContainsFunc(prefixes, has)
}

// Bucket holds the requests of one key.
type Bucket struct {
	Key    string
	Errors uint64
	// How long each took, sorted once the roll-up gives it away.
	Millis []uint32
}

// Percentile is the time that so many of 100 requests did not exceed.
func (bucket Bucket) Percentile(percent int) uint32 {
	return bucket.Millis[(len(bucket.Millis)*percent+99)/100-1]
}

// Rejected is a line that could not be counted.
type Rejected struct {
	Line   uint32
	Reason string
}

// Rollup counts requests by a key.
type Rollup struct {
	Requests uint64
	Rejected []Rejected
	key      func(Request) string
	buckets  map[string]*Bucket
}

// NewRollup starts at nothing.
func NewRollup(key func(Request) string) *Rollup {
	return &Rollup{key: key, buckets: map[string]*Bucket{}}
}

// Add counts a request.
func (rollup *Rollup) Add(request Request) {
	key := rollup.key(request)
	bucket := rollup.buckets[key]
	if bucket == nil {
		bucket = &Bucket{Key: key}
		rollup.buckets[key] = bucket
	}
	bucket.Millis = append(bucket.Millis, request.Millis)
	if request.Status >= 500 {
		bucket.Errors++
	}
	rollup.Requests++
}

// Reject remembers a line that is no request.
func (rollup *Rollup) Reject(line uint32, reason error) {
	rollup.Rejected = append(rollup.Rejected, Rejected{line, reason.Error()})
}

// Buckets gives the largest first.
func (rollup *Rollup) Buckets() []Bucket {
	var buckets []Bucket
	for _, bucket := range rollup.buckets {
		slices.Sort(bucket.Millis)
		buckets = append(buckets, *bucket)
	}
	slices.SortFunc(buckets, func(a, b Bucket) int {
		return cmp.Or(cmp.Compare(len(b.Millis), len(a.Millis)), cmp.Compare(a.Key, b.Key))
	})
	return buckets
}
