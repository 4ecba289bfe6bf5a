// The command line: which commands and options there are. What a command does is in the file of its name.
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import type { ConfigInputs } from '../config/load-config.ts';
import { check } from './check.ts';
import { exportTo, type ExportFlags, type RunExport } from './export.ts';
import { health } from './health.ts';
import { importInto, type ImportFlags, type RunImport } from './import.ts';
import { addToKeyring, listKeyring, rotateKeyring } from './keyring.ts';
import type { AddOptions, KeyringCommands, RotateOptions } from './keyring.ts';
import { migrate, type MigrateFlags, type RunMigration } from './migrate.ts';
import { start } from './start.ts';
import type { RunGateway } from './start.ts';
import { stop } from './stop.ts';
import type { ExitCode, JsonOption, Terminal } from './terminal.ts';
import { createToken, type CreateTokenOptions, listTokens, revokeToken, type TokenCommands } from './token.ts';
import { printVersion, version } from './version.ts';
import type { VersionOptions } from './version.ts';

export interface CommandLineOptions {
  readonly terminal: Terminal;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly runGateway: RunGateway;
  /** Loaded when it is needed. */
  readonly keyringCommands: () => Promise<KeyringCommands>;
  readonly tokenCommands: () => Promise<TokenCommands>;
  readonly runExport: RunExport;
  readonly runImport: RunImport;
  readonly runMigration: RunMigration;
}

interface ConfigOptions {
  readonly conf?: string;
  readonly prefix?: string;
  readonly set?: Readonly<Record<string, string>>;
}

/** @param args without the interpreter and the script. @returns the exit code, when the command has ended */
export async function runCommandLine(
  args: readonly string[],
  {
    terminal,
    env,
    cwd,
    runGateway,
    keyringCommands,
    tokenCommands,
    runExport,
    runImport,
    runMigration,
  }: CommandLineOptions,
): Promise<ExitCode> {
  let code: ExitCode = 0;
  const program = new Command('portunus')
    .description('An API gateway whose heart is the TLS certificate.')
    .version(version(), '-v, --version')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.err(text.trimEnd()),
      outputError: (text, write) => write(text.replace(/^error: /, 'Error: ')),
    });

  withConfig(program.command('start'))
    .description('run the gateway until it is asked to stop')
    .action(async (options: ConfigOptions) => {
      code = await start(terminal, inputs(options), runGateway);
    });
  withConfig(program.command('stop'))
    .description('stop the running gateway; requests in flight finish')
    .action(async (options: ConfigOptions) => {
      code = await stop(terminal, inputs(options));
    });
  withConfig(program.command('check'))
    .argument('[file]', 'the configuration file, as with -c')
    .option('--json', 'answer with JSON')
    .description('check the configuration and tell every problem')
    .action((file: string | undefined, options: ConfigOptions & JsonOption) => {
      code = check(terminal, inputs(file === undefined ? options : { ...options, conf: file }), options);
    });
  withConfig(program.command('health'))
    .option('--json', 'answer with JSON')
    .description('tell whether the running gateway serves clients')
    .action(async (options: ConfigOptions & JsonOption) => {
      code = await health(terminal, inputs(options), options);
    });
  withConfig(program.command('import'))
    .argument(
      '<source>',
      "a file of JSON lines or in decK's format, a certificate with its key beside it, a directory of those, or certbot's live/",
    )
    .option('--keep-going', 'write what is fine, whatever else is refused; by default all or nothing')
    .option('--replace', 'put what comes in the place of the certificate that holds its names or its id')
    .option('--force', 'take expired certificates too')
    .option('--dry-run', 'check everything and write nothing')
    .option('--passphrase-file <file>', 'its first line opens encrypted keys and PKCS#12 files')
    .option('--tags <list>', 'tags for every certificate, with commas between them')
    .option('--json', 'answer with JSON')
    .description('certificates, or a whole export, straight into the store while gateways serve')
    .action(async (source: string, options: ConfigOptions & ImportFlags) => {
      code = await importInto(terminal, inputs(options), source, options, runImport);
    });
  withConfig(program.command('export'))
    .argument('[file]', 'where to; the standard output by default')
    .option('--with-keys', 'with the private keys in the clear; otherwise placeholders stand for them')
    .option('--json', 'answer with JSON')
    .description("everything in the store as one file in decK's format, while gateways serve")
    .action(async (file: string | undefined, options: ConfigOptions & ExportFlags) => {
      code = await exportTo(terminal, inputs(options), file, options, runExport);
    });
  withConfig(program.command('migrate'))
    .requiredOption('--from <database>', 'sqlite, the embedded store of the data directory')
    .requiredOption('--to <database>', 'postgres, as the configuration says')
    .option('--json', 'answer with JSON')
    .description('take an embedded store into the PostgreSQL of a cluster; no gateway may run on it meanwhile')
    .action(async (options: ConfigOptions & MigrateFlags) => {
      code = await migrate(terminal, inputs(options), options, runMigration);
    });
  const keyring = program.command('keyring').description('the master keys under which private keys are sealed');
  withConfig(keyring.command('list'))
    .option('--json', 'answer with JSON')
    .description('list the keys, which one seals, and how many certificates need each')
    .action(async (options: ConfigOptions & JsonOption) => {
      code = await listKeyring(terminal, inputs(options), await keyringCommands(), options);
    });
  withConfig(keyring.command('add'))
    .option('--id <name>', 'what to call the key')
    .option('--print-key', 'print the key itself, for PORTUNUS_KEYRING_KEYS')
    .description('add a fresh key, which opens and does not seal yet')
    .action(async (options: ConfigOptions & AddOptions) => {
      code = await addToKeyring(terminal, inputs(options), await keyringCommands(), options);
    });
  withConfig(keyring.command('rotate'))
    .option('--to <id>', 'the key that shall seal; the newest by default')
    .option('--json', 'answer with JSON')
    .description('seal everything in the store anew, under another key, while gateways serve')
    .action(async (options: ConfigOptions & RotateOptions) => {
      code = await rotateKeyring(terminal, inputs(options), await keyringCommands(), options);
    });
  const token = program.command('token').description('who may call the Admin API');
  withConfig(token.command('create'))
    .argument('<name>', 'what to call it, in the log of changes too')
    .option(
      '--role <role>',
      'admin (everything), certificates (certificates and their names), read (read everything)',
      'admin',
    )
    .option('--expires <when>', 'after so long (90d, 12h), or a date (2027-01-31); by default never')
    .option('--json', 'answer with JSON')
    .description('make a token and print it, this once')
    .action(async (name: string, options: ConfigOptions & CreateTokenOptions) => {
      code = await createToken(terminal, inputs(options), await tokenCommands(), name, options);
    });
  withConfig(token.command('list'))
    .option('--json', 'answer with JSON')
    .description('list the tokens; what they are made of is not kept')
    .action(async (options: ConfigOptions & JsonOption) => {
      code = await listTokens(terminal, inputs(options), await tokenCommands(), options);
    });
  withConfig(token.command('revoke'))
    .argument('<name>', 'its name')
    .option('--json', 'answer with JSON')
    .description('let nobody in with it any more')
    .action(async (name: string, options: ConfigOptions & JsonOption) => {
      code = await revokeToken(terminal, inputs(options), await tokenCommands(), name, options);
    });
  program
    .command('version')
    .option('-a, --all', 'with the versions of Node.js, OpenSSL and SQLite')
    .option('--json', 'answer with JSON')
    .description('print the version')
    .action((options: VersionOptions) => {
      code = printVersion(terminal, options);
    });

  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    // It has written what there is to say.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 1;
    throw error;
  }

  function inputs({ conf, prefix, set = {} }: ConfigOptions): ConfigInputs {
    return { file: conf, env, flags: prefix === undefined ? set : { ...set, prefix }, cwd };
  }
}

function withConfig(command: Command): Command {
  return command
    .option('-c, --conf <file>', 'the configuration file')
    .option('-p, --prefix <directory>', 'the data directory, as with --set prefix=…')
    .option('--set <name=value>', 'a setting; may be repeated', addSetting);
}

function addSetting(
  text: string,
  before: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> {
  const [, name, value = ''] = /^(\w+)=(.*)$/s.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError('It is a name and a value: --set log_level=debug');
  return { ...before, [name]: value.trim() };
}
