// Options of the npm scripts: what is not one is answered with those there are.
import { parseArgs, type ParseArgsConfig } from 'node:util';

/** Ends the process with 1 when the command line holds anything else. */
export function readOptions<const O extends NonNullable<ParseArgsConfig['options']>>(options: O) {
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    const known = Object.entries(options).map(([name, { type, default: value }]) =>
      type === 'boolean' ? `--${name}` : `--${name} ${String(value ?? '…') || '…'}`,
    );
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.stderr.write(known.length === 0 ? 'There are no options.\n' : `Options: ${known.join(', ')}\n`);
    return process.exit(1);
  }
}
