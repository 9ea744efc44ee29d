// Package export_wit_world holds the functions that wit/world.wit exports; the generated code calls them.
package export_wit_world

import (
	witTypes "go.bytecodealliance.org/pkg/wit/types"

	"wit_component/clockjack_job_log"
	"wit_component/greeting"
	"wit_component/wit_world"
)

// Hello says hello.
func Hello(name string) witTypes.Result[string, wit_world.Failure] {
	clockjack_job_log.Log(clockjack_job_log.Level_Info, "greeting "+name, nil)
	return witTypes.Ok[string, wit_world.Failure](greeting.Of(name))
}
