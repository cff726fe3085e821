export async function close() {}
