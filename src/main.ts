// argv → command. It and worker.ts alone end their process.
import { runCommandLine } from './cli/command-line.ts';
import type { Terminal } from './cli/terminal.ts';
import { withholdMemory } from './withhold-memory.ts';

withholdMemory();

const terminal: Terminal = {
  out: (line) => void process.stdout.write(`${line}\n`),
  err: (line) => void process.stderr.write(`${line}\n`),
  progress: process.stderr.isTTY ? (text) => void process.stderr.write(`\r\u001B[K${text}`) : undefined,
};

// A reader that has gone, as in `portunus version | true`, is no reason to fail.
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);

const exitCode = await runCommandLine(process.argv.slice(2), {
  terminal,
  env: process.env,
  cwd: process.cwd(),
  async runGateway(options) {
    const { runGateway } = await import('./gateway.ts');
    await runGateway(options, { fail: () => process.exit(1) });
  },
  runExport: async (options) => (await import('./export-command.ts')).runExport(options),
  runImport: async (options) => (await import('./import-command.ts')).runImport(options),
  runMigration: async (options) => (await import('./migrate-command.ts')).runMigration(options),
  tokenCommands: async () => (await import('./token-commands.ts')).tokenCommands,
  keyringCommands: async () => (await import('./keyring-commands.ts')).keyringCommands,
});

// Whatever is still open, the command is done.
process.exit(exitCode);
