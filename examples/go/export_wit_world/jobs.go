// Package export_wit_world holds the functions that the plugin exports; the generated code calls them.
package export_wit_world

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	witTypes "go.bytecodealliance.org/pkg/wit/types"

	"wit_component/clockjack_job_log"
	"wit_component/clockjack_job_types"
	"wit_component/traffic"
	"wit_component/wit_world"
)

type filter = witTypes.Option[wit_world.Filter]

// Hello says hello.
func Hello(name string) string {
	say(clockjack_job_log.Level_Info, "saying hello", "name", name)
	return fmt.Sprintf("hello %s, from Go", name)
}

// RollUp counts the requests of a file of JSON lines.
func RollUp(
	file string, by wit_world.Dimension, filter filter, maxRejected uint32,
) witTypes.Result[wit_world.Summary, wit_world.Failure] {
	summary, failure := rollUp(file, by, filter, maxRejected)
	if failure != nil {
		return witTypes.Err[wit_world.Summary](*failure)
	}
	return witTypes.Ok[wit_world.Summary, wit_world.Failure](summary)
}

func rollUp(
	path string, by wit_world.Dimension, filter filter, maxRejected uint32,
) (wit_world.Summary, *wit_world.Failure) {
	var none wit_world.Summary
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return none, retry("%s is not there yet", path)
	} else if err != nil {
		return none, permanent("%v", err)
	}
	defer file.Close()

	rollup := traffic.NewRollup(keyOf(by))
	lines := bufio.NewScanner(file)
	for number := uint32(1); lines.Scan(); number++ {
		request, err := traffic.Parse(lines.Bytes())
		if err != nil {
			say(clockjack_job_log.Level_Warn, "line rejected", "line", strconv.Itoa(int(number)), "reason", err.Error())
			rollup.Reject(number, err)
		} else if wanted(request, filter) {
			rollup.Add(request)
		}
	}
	if err := lines.Err(); err != nil {
		return none, permanent("%s: %v", path, err)
	}
	if n := len(rollup.Rejected); uint32(n) > maxRejected {
		first := rollup.Rejected[0].Reason
		return none, permanent("%d lines of %s are no requests, and at most %d may be: %s", n, path, maxRejected, first)
	}
	say(clockjack_job_log.Level_Info, "rolled up", "requests", strconv.FormatUint(rollup.Requests, 10))
	return summaryOf(rollup), nil
}

func keyOf(by wit_world.Dimension) func(traffic.Request) string {
	switch by {
	case wit_world.Dimension_Region:
		return func(request traffic.Request) string { return request.Region }
	case wit_world.Dimension_Status:
		return func(request traffic.Request) string { return strconv.Itoa(request.Status) }
	default:
		return func(request traffic.Request) string { return request.Service }
	}
}

func wanted(request traffic.Request, filter filter) bool {
	if filter.IsNone() {
		return true
	}
	region := filter.Some().Region
	return (region.IsNone() || region.Some() == request.Region) && request.IsBelow(filter.Some().Paths)
}

func summaryOf(rollup *traffic.Rollup) wit_world.Summary {
	summary := wit_world.Summary{Requests: rollup.Requests}
	for _, bucket := range rollup.Buckets() {
		summary.Buckets = append(summary.Buckets, wit_world.Bucket{
			Key:      bucket.Key,
			Requests: uint64(len(bucket.Millis)),
			Errors:   bucket.Errors,
			P50Ms:    bucket.Percentile(50),
			P95Ms:    bucket.Percentile(95),
		})
	}
	for _, rejected := range rollup.Rejected {
		summary.Rejected = append(summary.Rejected, wit_world.Rejected{Line: rejected.Line, Reason: rejected.Reason})
	}
	return summary
}

func permanent(format string, arguments ...any) *wit_world.Failure {
	failure := clockjack_job_types.MakeFailurePermanent(fmt.Sprintf(format, arguments...))
	return &failure
}

func retry(format string, arguments ...any) *wit_world.Failure {
	failure := clockjack_job_types.MakeFailureRetry(fmt.Sprintf(format, arguments...))
	return &failure
}

// Logs a line with its fields: a name and a value each.
func say(level clockjack_job_log.Level, message string, namesAndValues ...string) {
	var fields []witTypes.Tuple2[string, string]
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		fields = append(fields, witTypes.Tuple2[string, string]{F0: namesAndValues[i], F1: namesAndValues[i+1]})
	}
	clockjack_job_log.Log(level, message, fields)
}
