/**
 * Makes the client's declarations with tsc, which checks its types: `node declare.js [FOLDER]`, into `src/clients/js`
 * unless told otherwise. It works on a copy: beside a module tsc would read the declarations that are there instead.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const CLIENT = join(HERE, '../../src/clients/js');

function copyModules(folder) {
  mkdirSync(folder);
  for (const name of readdirSync(CLIENT).filter((name) => name.endsWith('.js')))
    copyFileSync(join(CLIENT, name), join(folder, name));
}

function declare(work, out) {
  copyModules(join(work, 'client'));
  const config = {
    extends: join(HERE, 'tsconfig.json'),
    compilerOptions: { rootDir: 'client', outDir: out },
    include: ['client/*.js'],
  };
  writeFileSync(join(work, 'tsconfig.json'), JSON.stringify(config));
  const compiler = join(HERE, 'node_modules/.bin/tsc');
  return spawnSync(compiler, ['-p', work, '--pretty', 'false'], { stdio: 'inherit' }).status;
}

const work = mkdtempSync(join(tmpdir(), 'declarations-'));
const status = declare(work, resolve(process.argv[2] ?? CLIENT));
rmSync(work, { recursive: true });
process.exit(status ?? 1);
