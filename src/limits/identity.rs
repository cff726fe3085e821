//! What proves who somebody is: tokens, API keys, and the keys of issuers.

use std::time::Duration;

/// Bytes of a token. Those of the large providers are below 4 KiB, and all headers of a request must fit in what proxies
/// take.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Levels of nesting in the claims of a token or an API key.
pub const CLAIMS_DEPTH_MAX: usize = 16;

/// How far the clock of an issuer may be from this node's: `exp` counts so much later, `nbf` and `iat` so much earlier.
pub const CLOCK_LEEWAY: Duration = Duration::from_secs(30);

/// Bytes of a shared secret: with fewer than HMAC-SHA-256 gives, who has one token can search for it.
pub const SECRET_BYTES_MIN: usize = 32;

/// Bytes of a name that a key has with its issuer (`kid`).
pub const KEY_NAME_BYTES_MAX: usize = 256;

/// Issuers in an access file: those of the same name are tried one after the other.
pub const ISSUERS_MAX: usize = 32;

/// API keys in an access file.
pub const API_KEYS_MAX: usize = 10_000;

/// Bytes of the id of an API key: it stands in the log of who did what.
pub const API_KEY_ID_BYTES_MAX: usize = 64;

/// Keys of one issuer.
pub const JWKS_KEYS_MAX: usize = 100;

/// Bytes of the keys of an issuer, as JSON.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;

/// How long fetching the keys of an issuer may take, from its name to the last byte.
pub const JWKS_FETCH_DEADLINE: Duration = Duration::from_secs(5);

/// How long a token waits for a fetch that may bring its key: longer than one takes.
pub const JWKS_WAIT_DEADLINE: Duration = Duration::from_secs(6);

/// Keys are fetched again after this, or earlier if the issuer says so: a key that it gave up is trusted no longer.
pub const JWKS_REFRESH_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Between two fetches at least, whatever the issuer says and whichever unknown keys are named: who sends tokens must not
/// make the node press its issuer.
pub const JWKS_REFETCH_INTERVAL: Duration = Duration::from_secs(60);

/// After a fetch that failed the next follows after this, then after twice as long, up to
/// [`JWKS_REFETCH_INTERVAL`].
pub const JWKS_RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Tokens and keys of which it is remembered for a minute what they came to: some two kibibytes each. With more, all are
/// forgotten.
pub const RECENT_ADMISSIONS_MAX: usize = 4096;

/// Bytes of an access file, and of each file that it names: [`API_KEYS_MAX`] keys with their claims, and rules beside them.
pub const ACCESS_FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
