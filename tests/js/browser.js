/**
 * A real Chromium, driven by playwright-core. What a page complains of (errors, violations of the
 * Content-Security-Policy) fails the test that opened it, unless the test has said that it expects it.
 */
import { access, constants, mkdir } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const REPOSITORY = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** Where screenshots go, for people to look at. */
export const SCREENSHOTS = join(process.env.CARGO_TARGET_DIR ?? join(REPOSITORY, 'target'), 'screenshots');

/** The browser that is installed: `$CHROMIUM`, or the first of the usual names on the PATH. */
export async function findChromium() {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const candidates = [process.env.CHROMIUM, ...NAMES.flatMap((name) => folders.map((folder) => join(folder, name)))];
  for (const path of candidates) {
    if (
      path &&
      (await access(path, constants.X_OK).then(
        () => true,
        () => false,
      ))
    )
      return path;
  }
  throw new Error('there is no Chromium: `apt-get install chromium`, or name one with CHROMIUM=/path/to/it');
}

/**
 * Starts a browser, which `close()` ends.
 *
 * `launch({ screenshots: 'console' })` puts its pictures into `target/screenshots/console`.
 *
 * @param {{ screenshots?: string, args?: string[] }} [options]
 */
export async function launch(options = {}) {
  // As root (in a container) Chromium has no sandbox; /dev/shm is too small there.
  const args = ['--no-sandbox', '--disable-dev-shm-usage', ...(options.args ?? [])];
  const browser = await chromium.launch({ executablePath: await findChromium(), args });
  const folder = join(SCREENSHOTS, options.screenshots ?? '.');
  return new Browser(browser, folder);
}

class Browser {
  constructor(playwright, folder) {
    /** playwright's own object, for what is not here. */
    this.playwright = playwright;
    this.folder = folder;
  }

  /**
   * A profile of its own: pages of one context share IndexedDB, localStorage and Web Locks, as tabs of one browser do.
   *
   * @param {import('playwright-core').BrowserContextOptions} [options] such as `{ colorScheme: 'dark', viewport: {
   * width: 360, height: 640 } }`
   */
  async context(options = {}) {
    return new Context(await this.playwright.newContext(options), this.folder);
  }

  /** One page in a profile of its own. `options` are the context's. */
  async open(url, options = {}) {
    return (await this.context(options)).open(url);
  }

  async close() {
    await this.playwright.close();
  }
}

class Context {
  constructor(playwright, folder) {
    this.playwright = playwright;
    this.folder = folder;
  }

  /** Another tab. `before(playwrightPage)` runs before the page loads (for routes and init scripts). */
  async open(url, before) {
    const page = new Tab(await this.playwright.newPage(), this.folder);
    await page.watch();
    await before?.(page.page);
    if (url) await page.page.goto(url);
    return page;
  }

  /** All of its pages are offline, or not any more. */
  async offline(is) {
    await this.playwright.setOffline(is);
  }

  async close() {
    await this.playwright.close();
  }
}

/** A page that remembers what it complained of. */
class Tab {
  constructor(page, folder) {
    /** playwright's page: `tab.page.click(…)`, `tab.page.evaluate(…)`. */
    this.page = page;
    this.folder = folder;
    /** What was complained of and is not expected. */
    this.complaints = [];
    /** Everything that was said on the console. */
    this.console = [];
    this.expected = [];
  }

  async watch() {
    const { page } = this;
    page.on('console', (message) => {
      const text = `${message.type()}: ${message.text()}`;
      this.console.push(text);
      if (message.type() === 'error' || message.type() === 'assert')
        this.complain(`${text} (${message.location().url})`);
    });
    page.on('pageerror', (error) => this.complain(`uncaught: ${error.stack ?? error}`));
    page.on('crash', () => this.complain('the page crashed'));
    await page.exposeFunction('__violated', (text) => this.complain(text));
    await page.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => {
        const { effectiveDirective, blockedURI, sourceFile, lineNumber, sample } = event;
        globalThis.__violated(
          `policy: ${effectiveDirective} forbids ${blockedURI} ${sample} (${sourceFile}:${lineNumber})`,
        );
      });
    });
  }

  complain(text) {
    if (!this.expected.some((pattern) => pattern.test(text))) this.complaints.push(text);
  }

  /**
   * Complaints like this one are part of the test: a server that is killed, say. Those that came before are forgotten
   * too.
   */
  expect(...patterns) {
    this.expected.push(...patterns);
    this.complaints = this.complaints.filter((text) => !patterns.some((pattern) => pattern.test(text)));
  }

  /** What Chromium says when a connection is refused or lost, which no page can keep it from saying. */
  expectLostConnections() {
    this.expect(/WebSocket connection to/, /Failed to load resource: net::/);
  }

  /** Fails if the page complained. */
  check() {
    if (this.complaints.length > 0) throw new Error(`the page complained:\n${this.complaints.join('\n')}`);
  }

  /** Keeps a picture of the page, or of its visible part with `{ fullPage: false }`; returns its path. */
  async screenshot(name, options = {}) {
    await mkdir(this.folder, { recursive: true });
    const path = join(this.folder, `${name}.png`);
    await this.page.screenshot({ path, fullPage: true, ...options });
    return path;
  }

  /**
   * Runs axe-core in the page and returns its violations, shortened to what a reader needs. The policy allows it: no
   * tag is added.
   */
  async axe(options = {}) {
    const { default: axe } = await import('axe-core');
    await this.page.evaluate(axe.source);
    const violations = await this.page.evaluate(
      async (options) => (await globalThis.axe.run(document, options)).violations,
      options,
    );
    return violations.map(({ id, impact, help, nodes }) => ({
      id,
      impact,
      help,
      at: nodes.map((node) => `${node.target}: ${node.html.slice(0, 200)}`),
    }));
  }

  /** Closes the page, and fails if it complained. */
  async close() {
    await this.page.close();
    this.check();
  }
}
