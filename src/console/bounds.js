/** What a node holds at most for its clients, as the server's own limits say; `--window-bytes` moves the second. */

export const BUDGET_BYTES = 96 * 1024 * 1024;
export const LIVE_WINDOW_BYTES_DEFAULT = 32 * 1024 * 1024;
