package greeting

import "testing"

func TestOf(t *testing.T) {
	if of := Of("you"); of != "hello you" {
		t.Errorf("the greeting is %q", of)
	}
}
