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
  "__tests__/faults/churn.test.ts",
  "__tests__/faults/killed-haproxy.test.ts",
  "__tests__/faults/killed-operator.test.ts",
  "__tests__/faults/refused-reload.test.ts",
  "__tests__/faults/reloads.test.ts",
];
/** What asks nothing of HAProxy that its versions differ in: CI runs it on the usual one alone. */
export const alike = [
  "__tests__/integration/catalog-departed.test.ts",
  "__tests__/integration/demo.test.ts",
  "__tests__/integration/fuzz-catalog.test.ts",
  "__tests__/integration/migrate-fabio.test.ts",
  "__tests__/integration/operator-cli.test.ts",
  "__tests__/integration/operator-why.test.ts",
  "__tests__/integration/options-places.test.ts",
  "__tests__/integration/register-traffic.test.ts",
  "__tests__/integration/register.test.ts",
  "__tests__/integration/registered-names.test.ts",
  "__tests__/integration/store-lock-namespaces.test.ts",
  "__tests__/integration/systemd-files.test.ts",
  "__tests__/integration/systemd-units.test.ts",
];
