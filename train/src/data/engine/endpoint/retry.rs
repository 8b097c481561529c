//! A failed request in, how long to wait before the next try out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Wait before the first retry, seconds; it doubles with each.
const FIRST_WAIT_SECS: f64 = 0.5;
/// Longest wait of our own, seconds.
const LONGEST_WAIT_SECS: f64 = 30.0;
/// Least share of a wait; the rest is drawn, so that requests that failed together do not come back together.
const LEAST_SHARE: f64 = 0.5;

/// The wait before retry `retry`, counted from 0.
pub(crate) fn back_off(retry: u32, rng: &mut ChaCha8Rng) -> Duration {
    let longest = (FIRST_WAIT_SECS * f64::from(retry.min(16)).exp2()).min(LONGEST_WAIT_SECS);
    Duration::from_secs_f64(longest * rng.random_range(LEAST_SHARE..=1.0))
}

/// What a `Retry-After` header asks for at `now` (RFC 9110, 10.2.3): seconds, or a date; `None` if it is neither.
pub(crate) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(secs) = header.parse::<u64>() {
        return Some(Duration::from_secs(secs));
    }
    // some servers send fractions
    if let Ok(secs) = header.parse::<f64>() {
        return Duration::try_from_secs_f64(secs).ok();
    }
    let until = UNIX_EPOCH.checked_add(Duration::from_secs(http_date(header)?))?;
    Some(until.duration_since(now).unwrap_or_default())
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` as seconds since 1970 (RFC 9110, 5.6.7, the form that servers must send).
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let parts: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, time, "GMT"] = parts[..] else { return None };
    let clock: Vec<u64> = time.split(':').map(|t| t.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = clock[..] else { return None };
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let month = MONTHS.iter().position(|m| *m == month)? as u64;
    if !(1970..=9999).contains(&year) || !(1..=31).contains(&day) || hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    // days of a year that begins in March, so that the leap day is its last
    let (from_march, year) = if month >= 2 { (month - 2, year) } else { (month + 10, year - 1) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * from_march + 2) / 5 + day - 1;
    /// Days from March of year 0 to 1970.
    const BEFORE_1970: u64 = 719_468;
    Some((days - BEFORE_1970) * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn waits_grow_to_a_limit_and_are_drawn() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for (retry, longest) in [(0, 0.5), (1, 1.0), (4, 8.0), (10, 30.0), (u32::MAX, 30.0)] {
            let waits: Vec<f64> = (0..50).map(|_| back_off(retry, &mut rng).as_secs_f64()).collect();
            assert!(waits.iter().all(|w| (0.5 * longest..=longest).contains(w)), "{retry}: {waits:?}");
            assert!(waits.windows(2).any(|w| w[0] != w[1]));
        }
    }

    #[test]
    fn headers_are_read() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 5);
        for (header, secs) in [
            ("7", Some(7.0)),
            (" 0.25 ", Some(0.25)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(5.0)),
            ("Sun, 06 Nov 1994 08:49:30 GMT", Some(0.0)),
            ("-1", None),
            ("soon", None),
            ("Sun, 06 Nov 0094 08:49:37 GMT", None),
            ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ] {
            assert_eq!(retry_after(header, now).map(|d| d.as_secs_f64()), secs, "{header}");
        }
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date("Tue, 29 Feb 2000 00:00:00 GMT"), Some(951_782_400));
    }
}
