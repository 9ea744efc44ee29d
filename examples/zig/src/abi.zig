//! The canonical ABI as far as this plugin needs it: how values of WIT lie in memory, and how the host hands them over.
//!
//! A record is an `extern struct`, a list or string a pointer and a count, a variant a tag of one byte and a union, an
//! option the same with tag 0 or 1. Parameters arrive one by one as numbers, up to 16 of them; what does not fit into one
//! number comes back as the address of a result area.
const std = @import("std");

pub fn List(T: type) type {
    return extern struct {
        ptr: [*]const T,
        len: usize,

        pub fn of(items: []const T) @This() {
            return .{ .ptr = items.ptr, .len = items.len };
        }

        pub fn slice(list: @This()) []const T {
            return list.ptr[0..list.len];
        }
    };
}

pub const Text = List(u8);

pub fn Option(T: type) type {
    return extern struct {
        is_some: bool,
        value: T,

        pub const none: @This() = .{ .is_some = false, .value = undefined };

        pub fn some(value: T) @This() {
            return .{ .is_some = true, .value = value };
        }
    };
}

/// `clockjack:job/run.context`, in the order of `wit/types.wit`.
pub const Context = extern struct {
    run_id: Text,
    job: Text,
    attempt: u32,
    max_attempts: u32,
    cause: extern struct { tag: u8, value: extern union { catch_up: u32, upstream: Text } },
    scheduled_for: u64,
    started_at: u64,
    deadline: u64,
    last_success: Option(u64),
    time_zone: Text,
    labels: List(extern struct { key: Text, value: Text }),
    traceparent: Option(Text),
};

/// Imports have the name of their interface as module, that of the function as name.
const host = struct {
    extern "clockjack:job/run@0.1.0" fn context(area: *Context) void;
    extern "clockjack:job/log@0.1.0" fn log(level: i32, text: [*]const u8, len: usize, fields: usize, n_fields: usize) void;
};

pub fn context() Context {
    var area: Context = undefined;
    host.context(&area);
    return area;
}

pub fn info(text: []const u8) void {
    host.log(2, text.ptr, text.len, 0, 0);
}

/// The host asks here for room in our memory, for arguments and for what imports give back. An instance lives for one
/// call: nothing is ever given back.
export fn cabi_realloc(old: ?[*]u8, old_len: usize, alignment: usize, len: usize) [*]u8 {
    if (8 < alignment) @trap();
    // An empty list has an address too, which nobody reads, but it must lie in memory.
    if (len == 0) return @ptrFromInt(alignment);
    const room = std.heap.wasm_allocator.alignedAlloc(u8, .@"8", len) catch @trap();
    if (old) |bytes| @memcpy(room[0..@min(old_len, len)], bytes[0..@min(old_len, len)]);
    return room.ptr;
}
