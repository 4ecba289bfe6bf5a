// `npm run sbom`: the bill of materials of what is installed with Portunus, as CycloneDX 1.6, from the lockfile alone: the same
// lockfile gives the same bytes. (npm's own leaves out packages that a development tool needs as well.)
import { readFileSync } from 'node:fs';

const file = (name) => JSON.parse(readFileSync(new URL(`../${name}`, import.meta.url), 'utf8'));

/** Of the packages that are installed with it, without those of development. */
export function composeSbom(own = file('package.json'), { packages } = file('package-lock.json')) {
  const installed = Object.entries(packages).filter(([place, { dev }]) => place !== '' && dev !== true);
  const reference = (place) =>
    place === '' ? `${own.name}@${own.version}` : `${nameOf(place)}@${packages[place].version}`;
  const dependsOn = (place) =>
    Object.keys({ ...packages[place].dependencies, ...packages[place].optionalDependencies })
      .map((name) => findPlace(packages, place, name))
      .filter((found) => found !== undefined)
      .map(reference)
      .toSorted();
  const component = (type, ref, name, { version, license }) => ({
    type,
    'bom-ref': ref,
    name,
    version,
    purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
    licenses: [{ license: { id: license } }],
  });
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: component('application', reference(''), own.name, own) },
    components: installed.map(([place, facts]) => ({
      ...component('library', reference(place), nameOf(place), facts),
      scope: facts.optional === true ? 'optional' : 'required',
      hashes: [
        { alg: 'SHA-512', content: Buffer.from(facts.integrity.slice('sha512-'.length), 'base64').toString('hex') },
      ],
    })),
    dependencies: ['', ...installed.map(([place]) => place)].map((place) => ({
      ref: reference(place),
      dependsOn: dependsOn(place),
    })),
  };
}

/** As Node finds it: beside its dependent's own packages, then further up. */
function findPlace(packages, from, name) {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    const place = `${at === '' ? '' : `${at}/`}node_modules/${name}`;
    if (packages[place] !== undefined) return place;
    if (at === '') return undefined;
  }
}

/** The last part of a place: `@scope/name` or `name`. */
function nameOf(place) {
  return place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);
}
