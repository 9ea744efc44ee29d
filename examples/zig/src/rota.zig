//! Whose turn it is: a plugin in Zig without libc, WASI or generated code.
const std = @import("std");
const abi = @import("abi.zig");
const Date = @import("date.zig").Date;

const Person = extern struct {
    name: abi.Text,
    away: abi.List(extern struct { first: Date, last: Date }),

    fn isAway(person: Person, first_day: i32, last_day: i32) bool {
        for (person.away.slice()) |period| {
            if (period.first.toDays() <= last_day and first_day <= period.last.toDays()) return true;
        }
        return false;
    }
};

const Turn = extern struct {
    name: abi.Text,
    shift: u32,
    first_day: Date,
    last_day: Date,
    instead_of: abi.Option(abi.Text),
};

/// `result<turn, problem>`
const Result = extern struct {
    is_err: bool,
    value: extern union { turn: Turn, problem: Problem },
};

const Problem = extern struct {
    case: enum(u8) { permanent, skipped },
    text: abi.Text,
};

var result: Result = undefined;
var line: [256]u8 = undefined;

fn problem(case: @FieldType(Problem, "case"), comptime format: []const u8, arguments: anytype) *const Result {
    const text = std.fmt.bufPrint(&line, format, arguments) catch &line;
    result = .{ .is_err = true, .value = .{ .problem = .{ .case = case, .text = .of(text) } } };
    return &result;
}

/// The record `date` is three parameters, the option one more in front of its record.
export fn @"on-call"(
    people_ptr: [*]const Person,
    n_people: usize,
    year: u16,
    month: u8,
    day: u8,
    days: u32,
    has_day: bool,
    wanted_year: u16,
    wanted_month: u8,
    wanted_day: u8,
) *const Result {
    const people = people_ptr[0..n_people];
    const begins: Date = .{ .year = year, .month = month, .day = day };
    const today: Date = if (has_day)
        .{ .year = wanted_year, .month = wanted_month, .day = wanted_day }
    else
        .fromDays(@intCast(abi.context().scheduled_for / std.time.ms_per_day));
    if (people.len == 0) return problem(.permanent, "`people` is empty", .{});
    if (days == 0 or 366 < days) return problem(.permanent, "`days` is {d}; a shift has 1 to 366", .{days});
    for ([_]Date{ begins, today }) |date| {
        if (!date.exists()) return problem(.permanent, "{f} is not in the calendar", .{date});
    }
    const past = today.toDays() - begins.toDays();
    if (past < 0) return problem(.skipped, "the rota begins on {f}", .{begins});

    const shift = @as(u32, @intCast(past)) / days;
    const first_day = begins.toDays() + @as(i32, @intCast(shift * days));
    const last_day = first_day + @as(i32, @intCast(days)) - 1;
    const planned = people[shift % people.len];
    for (0..people.len) |step| {
        const person = people[(shift + step) % people.len];
        if (person.isAway(first_day, last_day)) continue;
        abi.info(std.fmt.bufPrint(&line, "{f}: {s} is on call", .{ today, person.name.slice() }) catch &line);
        result = .{ .is_err = false, .value = .{ .turn = .{
            .name = person.name,
            .shift = shift,
            .first_day = .fromDays(first_day),
            .last_day = .fromDays(last_day),
            .instead_of = if (step == 0) .none else .some(planned.name),
        } } };
        return &result;
    }
    const days_of_shift = .{ Date.fromDays(first_day), Date.fromDays(last_day) };
    return problem(.permanent, "everybody is away on a day from {f} to {f}", days_of_shift);
}
