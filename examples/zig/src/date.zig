//! Days of the Gregorian calendar. `Date` lies in memory as the record `date` of the WIT file.
const std = @import("std");

pub const Date = extern struct {
    year: u16,
    month: u8,
    day: u8,

    /// Whether there is such a day.
    pub fn exists(date: Date) bool {
        const back = date.month != 0 and date.month <= 12 and std.meta.eql(fromDays(date.toDays()), date);
        return back and date.year != 0;
    }

    /// Days since 1970-01-01. Years count from March, so that the leap day comes last.
    pub fn toDays(date: Date) i32 {
        const year: i32 = @as(i32, date.year) - @intFromBool(date.month <= 2);
        const month: i32 = @mod(@as(i32, date.month) + 9, 12);
        const leap_days = @divFloor(year, 4) - @divFloor(year, 100) + @divFloor(year, 400);
        return year * 365 + leap_days + @divFloor(153 * month + 2, 5) + date.day - 1 - 719468;
    }

    pub fn fromDays(days: i32) Date {
        const shifted = days + 719468;
        const era = @divFloor(shifted, 146097);
        const of_era = @mod(shifted, 146097);
        const leap_days = @divFloor(of_era, 1460) - @divFloor(of_era, 36524) + @divFloor(of_era, 146096);
        const year = @divFloor(of_era - leap_days, 365);
        const of_year = of_era - (365 * year + @divFloor(year, 4) - @divFloor(year, 100));
        const month = @divFloor(5 * of_year + 2, 153);
        const day = of_year - @divFloor(153 * month + 2, 5) + 1;
        const of_calendar = if (month < 10) month + 3 else month - 9;
        return .{
            .year = @intCast(era * 400 + year + @intFromBool(of_calendar <= 2)),
            .month = @intCast(of_calendar),
            .day = @intCast(day),
        };
    }

    pub fn format(date: Date, writer: *std.Io.Writer) std.Io.Writer.Error!void {
        try writer.print("{d:0>4}-{d:0>2}-{d:0>2}", .{ date.year, date.month, date.day });
    }
};
