module wit_component

go 1.27.1

require go.bytecodealliance.org/pkg v0.4.0

// What the generated code needs, copied: a build asks no module proxy.
replace go.bytecodealliance.org/pkg => ./pkg
