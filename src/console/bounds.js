/** Bounds of the server that the console knows, as its own limits say; `--window-bytes` moves the second. */

export const BUDGET_BYTES = 96 * 1024 * 1024;
export const LIVE_WINDOW_BYTES_DEFAULT = 32 * 1024 * 1024;
/** Fields that one may ask for at a time. */
export const PROJECTION_FIELDS_MAX = 64;
