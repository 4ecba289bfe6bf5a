// Where what is random in tests begins: at one place in every `npm test`, so that none fails by chance, and at another in every
// `npm run test:long`. PORTUNUS_FUZZ_SEED begins it elsewhere.
const { PORTUNUS_FUZZ_MINUTES: minutes, PORTUNUS_FUZZ_SEED: given } = process.env;

export const seed = minutes === undefined ? Number(given ?? 1) : Number(given ?? Math.trunc(Math.random() * 2 ** 31));
