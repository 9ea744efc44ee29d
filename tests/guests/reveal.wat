;; A job that asks for secrets and lets them slip everywhere: into its result, its error, its log and its progress.
(component
  (import "clockjack:job/secrets@0.1.0" (instance $secrets
    (type $error-shape (variant (case "denied") (case "unavailable" string)))
    (export "error" (type $error (eq $error-shape)))
    (export "get" (func (param "name" string) (result (result string (error $error)))))))
  (import "clockjack:job/log@0.1.0" (instance $log
    (type $level-shape (enum "trace" "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $level-shape)))
    (export "log" (func (param "level" $level) (param "message" string) (param "fields" (list (tuple string string)))))))
  (import "clockjack:job/run@0.1.0" (instance $run
    (export "progress" (func (param "done" u64) (param "total" (option u64)) (param "message" (option string))))))
  (core module $heap
    (memory (export "memory") 3)
    (global $next (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $heap (instantiate $heap))
  (alias core export $heap "memory" (core memory $memory))
  (core func $get (canon lower (func $secrets "get") (memory $memory) (realloc (core func $heap "realloc"))))
  (core func $log (canon lower (func $log "log") (memory $memory)))
  (core func $progress (canon lower (func $run "progress") (memory $memory)))
  (core module $job
    (import "heap" "memory" (memory 3))
    (import "host" "get" (func $get (param i32 i32 i32)))
    (import "host" "log" (func $log (param i32 i32 i32 i32 i32)))
    (import "host" "progress" (func $progress (param i64 i32 i64 i32 i32 i32)))
    (data (i32.const 0) "denied")
    ;; The answer is written at 64: whether it is an error, at 68 the value or which error, at 72 what it says.
    (func $ask (param i32 i32) (result i32)
      (call $get (local.get 0) (local.get 1) (i32.const 64))
      (i32.load8_u (i32.const 64)))
    ;; A text at 32.
    (func $answer (param i32 i32) (result i32)
      (i32.store (i32.const 32) (local.get 0))
      (i32.store (i32.const 36) (local.get 1))
      (i32.const 32))
    (func (export "length") (param i32 i32) (result i32)
      (if (call $ask (local.get 0) (local.get 1)) (then (return (i32.const 0))))
      (i32.load (i32.const 72)))
    (func (export "tell") (param i32 i32) (result i32)
      (if (call $ask (local.get 0) (local.get 1)) (then
        (if (i32.load8_u (i32.const 68)) (then
          (return (call $answer (i32.load (i32.const 72)) (i32.load (i32.const 76))))))
        (return (call $answer (i32.const 0) (i32.const 6)))))
      (call $answer (i32.load (i32.const 68)) (i32.load (i32.const 72))))
    ;; result<_, string> at 48.
    (func (export "slip") (param i32 i32) (result i32)
      (local $at i32) (local $n i32)
      (if (call $ask (local.get 0) (local.get 1)) (then unreachable))
      (local.set $at (i32.load (i32.const 68)))
      (local.set $n (i32.load (i32.const 72)))
      ;; A field whose name and value it is, at 128.
      (i32.store (i32.const 128) (local.get $at)) (i32.store (i32.const 132) (local.get $n))
      (i32.store (i32.const 136) (local.get $at)) (i32.store (i32.const 140) (local.get $n))
      (call $log (i32.const 2) (local.get $at) (local.get $n) (i32.const 128) (i32.const 1))
      (call $progress (i64.const 1) (i32.const 0) (i64.const 0) (i32.const 1) (local.get $at) (local.get $n))
      (i32.store (i32.const 48) (i32.const 1))
      (i32.store (i32.const 52) (local.get $at))
      (i32.store (i32.const 56) (local.get $n))
      (i32.const 48)))
  (core instance $job (instantiate $job
    (with "heap" (instance $heap))
    (with "host" (instance (export "get" (func $get)) (export "log" (func $log)) (export "progress" (func $progress))))))
  (func (export "length") (param "name" string) (result u32)
    (canon lift (core func $job "length") (memory $memory) (realloc (core func $heap "realloc"))))
  (func (export "tell") (param "name" string) (result string)
    (canon lift (core func $job "tell") (memory $memory) (realloc (core func $heap "realloc"))))
  (func (export "slip") (param "name" string) (result (result (error string)))
    (canon lift (core func $job "slip") (memory $memory) (realloc (core func $heap "realloc")))))
