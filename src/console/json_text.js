/** JSON that someone types: what it says, or what is wrong with it. */

/** Names and the signs that tell where they stand; whatever else there is means nothing here. */
const TOKEN = /"(?:\\.|[^"\\])*"|[{}[\]:]/g;

/**
 * @param {string} text
 * @returns {{ value?: any, error?: string }}
 */
export function readJson(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { error: whatIsWrong(error, text) };
  }
  const name = repeatedName(text);
  return name === undefined ? { value } : { error: `${JSON.stringify(name)} stands twice in one object` };
}

/** With line and column where the browser says where. */
function whatIsWrong(error, text) {
  const said = String(error.message).replace(/^JSON\.parse: /, '');
  const position = /position (\d+)/.exec(said);
  if (!position) return `this is not JSON yet: ${said}`;
  const before = text.slice(0, Number(position[1])).split('\n');
  const place =
    before.length > 1 ? `line ${before.length}, column ${before.at(-1).length + 1}` : `column ${before[0].length + 1}`;
  return `this is not JSON yet, at ${place}: ${said.replace(/ (in JSON )?at position.*$/, '')}`;
}

/** The first name that an object has twice: browsers keep the last value and say nothing, the server refuses it. */
function repeatedName(text) {
  /** The names of each object that is open; an array has none. */
  const open = [];
  let last;
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '{' || token === '[') open.push(new Set());
    else if (token === '}' || token === ']') open.pop();
    else if (token === ':') {
      const name = JSON.parse(last);
      if (open.at(-1).has(name)) return name;
      open.at(-1).add(name);
    }
    last = token;
  }
  return undefined;
}
