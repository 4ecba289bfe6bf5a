// `portunus token …` from the command line to the store, and from there to whoever calls the Admin API.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { runCommandLine } from '../src/cli/command-line.ts';
import { tokenCommands } from '../src/token-commands.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'portunus-token-'));
after(() => rmSync(folder, { recursive: true }));

test('a token is made before the first start, shown once, listed without its secret, and revoked', async () => {
  const prefix = path.join(folder, 'first');
  const made = await run(['create', 'ci', '-p', prefix]);
  assert.equal(made.code, 0);
  const [text = ''] = made.out;
  assert.match(text, /^ptn_[0-9a-f]{16}_[\w-]{43}$/);
  assert.match(made.err.join('\n'), /made a keyring[^]*the token ci \(admin\), shown this once/);
  const listed = await run(['list', '-p', prefix]);
  assert.equal(listed.out.length, 1);
  assert.match(listed.out[0] ?? '', /^ci +admin +ptn_[0-9a-f]{16}_… +made 20.*, does not expire$/);
  assert.ok(!listed.out.join('').includes(text.slice(-43)));
  assert.deepEqual((await run(['revoke', 'ci', '-p', prefix])).code, 0);
  const none = await run(['list', '-p', prefix]);
  assert.deepEqual([none.out, none.err], [[], ['there are no tokens']]);
  const again = await run(['revoke', 'ci', '-p', prefix]);
  assert.deepEqual([again.code, again.err], [1, ['Error: There is no token ci.']]);
});

test('role and time are chosen, and programs read JSON', async () => {
  const prefix = path.join(folder, 'json');
  const before = Date.now();
  const args = ['create', 'acme', '-p', prefix, '--role', 'certificates', '--expires', '90d', '--json'];
  const made = JSON.parse((await run(args)).out.join('\n'));
  assert.equal(made.role, 'certificates');
  assert.ok(Math.abs(Date.parse(made.expires_at) - before - 90 * 86_400_000) < 60_000);
  assert.match(made.token, new RegExp(`^ptn_${made.prefix}_`));
  await run(['create', 'until', '-p', prefix, '--role', 'read', '--expires', '2999-01-31']);
  const { data } = JSON.parse((await run(['list', '-p', prefix, '--json'])).out.join('\n'));
  assert.deepEqual(
    data.map(({ name, role, expires_at: at }: Record<string, string>) => [name, role, at]),
    [
      ['acme', 'certificates', made.expires_at],
      ['until', 'read', '2999-01-31T00:00:00.000Z'],
    ],
  );
  assert.ok(!JSON.stringify(data).includes('hash'));
  const twice = await run(['create', 'acme', '-p', prefix]);
  assert.equal(twice.code, 1);
  assert.match(twice.err.join('\n'), /There is a token acme already\.\n {2}Take another name, or revoke that one/);
  const revoked = JSON.parse((await run(['revoke', 'acme', '-p', prefix, '--json'])).out.join('\n'));
  assert.equal(revoked.revoked.name, 'acme');
});

test('what cannot be is refused before there is a store', async () => {
  const prefix = path.join(folder, 'refused');
  for (const [args, message] of [
    [['create', 'x', '--role', 'root'], /there is no role root: admin, certificates, read/],
    [['create', 'two words'], /a name has 1 to 64 letters/],
    [['create', '_x'], /a letter or digit first/],
    [['create', 'x', '--expires', '2020-01-01'], /is no time to come/],
    [['create', 'x', '--expires', '0'], /is no time to come/],
    [['create', 'x', '--expires', 'soon'], /is no time to come/],
    [['list'], /There is no store in .*refused yet/],
    [['revoke', 'x'], /There is no store in .*refused yet/],
  ] as const) {
    const { code, err } = await run([...args, '-p', prefix]);
    assert.equal(code, 1, args.join(' '));
    assert.match(err.join('\n'), message);
  }
});

async function run(args: readonly string[]) {
  writeFileSync(path.join(folder, 'portunus.yaml'), '');
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCommandLine(['token', ...args], {
    terminal: { out: (line) => out.push(line), err: (line) => err.push(line), progress: undefined },
    env: {},
    cwd: folder,
    runGateway: () => Promise.reject(new Error('not asked for')),
    runExport: () => Promise.reject(new Error('not here')),
    runImport: () => Promise.reject(new Error('not here')),
    runMigration: () => Promise.reject(new Error('not here')),
    keyringCommands: () => Promise.reject(new Error('not asked for')),
    tokenCommands: () => Promise.resolve(tokenCommands),
  });
  return { code, out, err };
}
