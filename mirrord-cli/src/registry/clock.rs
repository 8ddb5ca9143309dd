//! Moments as RFC 3339 writes them, in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;

/// This moment: `2026-08-31T12:34:56Z`.
pub(crate) fn now() -> String {
    write(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

/// How long ago a moment was, if it is one that [`now`] writes.
pub(crate) fn since(moment: &str) -> Option<Duration> {
    let then = Duration::from_secs(read(moment)?);
    SystemTime::now().duration_since(UNIX_EPOCH).ok()?.checked_sub(then)
}

fn write(seconds: u64) -> String {
    let (days, second) = (seconds / DAY, seconds % DAY);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn read(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time =
        time.splitn(3, ':').map(|part| part.split('.').next().and_then(|it| it.parse::<u64>().ok()));
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(days(year, month, day) * DAY + hour * 3600 + minute * 60 + second)
}

/// The date of a day since the beginning of 1970. Years begin in March here, so that a leap day ends one.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// The day of a date, counted from the beginning of 1970.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_rfc_3339_has_it() {
        assert_eq!(write(0), "1970-01-01T00:00:00Z");
        assert_eq!(write(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(write(1_788_180_896), "2026-08-31T12:54:56Z");
    }

    #[test]
    fn every_day_reads_back_as_it_was_written() {
        for day in (0..40_000).map(|day| day * DAY + day % DAY) {
            assert_eq!(read(&write(day)), Some(day));
        }
        assert_eq!(read("2000-02-29T12:34:56.789Z"), Some(951_827_696));
        for nonsense in ["", "now", "2000-02-29", "0000-01-01T00:00:00Z", "2000-13-01T00:00:00Z"] {
            assert_eq!(read(nonsense), None);
        }
    }
}
