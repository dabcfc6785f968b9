/**
 * Which tests run how often, by their paths.
 */

/** What starts no HAProxy, though it is one of the integration tests: one version is as good as another. */
export const versionless = ["__tests__/integration/catalog.test.ts"];
/** What asks HAProxy, though it is none of them. */
export const versioned = ["__tests__/unit/haproxy/process/validate.test.ts"];
/** Where the kind of reload matters, and which choose none themselves. */
export const reloading = [
  "__tests__/integration/operator-first-start.test.ts",
  "__tests__/integration/operator-inputs.test.ts",
  "__tests__/integration/operator-restart.test.ts",
  "__tests__/integration/operator-resync.test.ts",
  "__tests__/faults/killed-haproxy.test.ts",
  "__tests__/faults/refused-reload.test.ts",
  "__tests__/faults/reloads.test.ts",
];
/**
 * What asks little of HAProxy that its versions differ in, or takes long: for want of time CI runs it on the usual one
 * alone; `npm run test:versions` runs it on all.
 */
export const alike = [
  "binary-upgrade",
  "catalog-departed",
  "demo",
  "fabio-tags",
  "fuzz-catalog",
  "migrate-fabio",
  "operator-cli",
  "operator-external",
  "operator-first-start",
  "operator-inputs",
  "operator-overrides",
  "operator-why",
  "options-places",
  "register",
  "register-traffic",
  "registered-names",
  "store-lock-namespaces",
  "systemd-files",
  "systemd-units",
].map((name) => `__tests__/integration/${name}.test.ts`);
