//! Files that are looked at again and again, and are others only when they have stayed so: several cannot be exchanged at
//! once.

use std::time::Duration;

use tokio::time::sleep;

/// How often they are looked at. Their contents are compared, since a time may stay the same; they are small.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Waits until what is seen differs from what was taken of it, and is seen a second time.
pub(crate) async fn settled_change<S, L>(taken: &S, look: impl Fn() -> L) -> S
where
    S: PartialEq,
    L: Future<Output = S>,
{
    let mut last = None;
    loop {
        sleep(LOOK_INTERVAL).await;
        let seen = look().await;
        if seen != *taken && last.as_ref() == Some(&seen) {
            return seen;
        }
        last = Some(seen);
    }
}
