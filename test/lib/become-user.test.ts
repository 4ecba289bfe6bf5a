import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { beginAs } from '../../src/lib/become-user.ts';
import { succeed } from '../support/command.ts';

const skip = process.getuid?.() !== 0;
const nobody = { uid: 65_534, gid: 65_534, groups: [65_534] };
const module = new URL('../../src/lib/become-user.ts', import.meta.url).href;

/** In a process of its own, which does not come back. @returns what the body says */
async function asRoot(body: string): Promise<unknown> {
  const script = `
    import { beginAs } from ${JSON.stringify(module)};
    const nobody = ${JSON.stringify(nobody)};
    const who = () => [process.getuid(), process.geteuid(), process.getgid(), process.getegid(), process.getgroups()];
    console.log(JSON.stringify(await (async () => { ${body} })()));`;
  return JSON.parse(await succeed(process.execPath, ['--input-type=module', '-e', script]));
}

test(
  'root becomes the user for what it does, root again where it has to, and then the user for good',
  { skip },
  async (t) => {
    const directory = path.join(temporary(t), 'deeper', 'data');
    const said = await asRoot(`
    process.setgroups([0, 4]);
    const becoming = beginAs(nobody, ${JSON.stringify(directory)});
    const steps = [who(), becoming.asRoot(who), who()];
    becoming.forGood([]);
    const tries = [() => process.setuid(0), () => process.seteuid(0), () => process.setgid(0), () => process.setgroups([0])];
    return [...steps, who(), tries.map((act) => { try { act(); return 'root'; } catch (error) { return error.code; } })];`);
    assert.deepEqual(said, [
      [0, 65_534, 65_534, 65_534, [65_534]],
      [0, 0, 65_534, 65_534, [65_534]],
      [0, 65_534, 65_534, 65_534, [65_534]],
      [65_534, 65_534, 65_534, 65_534, [65_534]],
      ['EPERM', 'EPERM', 'EPERM', 'EPERM'],
    ]);
    const { uid, mode } = statSync(directory);
    assert.deepEqual([uid, mode & 0o777], [65_534, 0o700]);
    assert.equal(statSync(path.dirname(directory)).uid, 0, 'what is above stays as the system has it');
  },
);

test('a directory that is there keeps its owner', { skip }, async (t) => {
  const directory = path.join(temporary(t), 'data');
  mkdirSync(directory);
  await asRoot(`beginAs(nobody, ${JSON.stringify(directory)}); return 1;`);
  assert.equal(statSync(directory).uid, 0);
});

test(
  'a user that cannot read what is needed, or that the system does not let root become, is refused',
  { skip },
  async (t) => {
    const hidden = temporary(t);
    chmodSync(hidden, 0o700);
    const said = await asRoot(`
    const refused = (act) => { try { act(); return 'taken'; } catch (error) { return [error.code, error.message]; } };
    return [
      refused(() => beginAs(nobody, ${JSON.stringify(hidden)}).forGood([${JSON.stringify(path.join(hidden, 'file'))}])),
      refused(() => beginAs(nobody, ${JSON.stringify(hidden)})),
    ];`);
    assert.match(JSON.stringify(said), /USER_REFUSED.*65534:65534.*EACCES/);
  },
);

test('without a user nothing changes', () => {
  const before = process.getuid?.();
  const becoming = beginAs(undefined, '/nowhere');
  assert.equal(
    becoming.asRoot(() => 7),
    7,
  );
  becoming.forGood(['/nowhere']);
  assert.equal(process.getuid?.(), before);
});

function temporary(t: TestContext): string {
  const made = mkdtempSync(path.join(tmpdir(), 'portunus-user-'));
  chmodSync(made, 0o755);
  t.after(() => rmSync(made, { recursive: true }));
  return made;
}
