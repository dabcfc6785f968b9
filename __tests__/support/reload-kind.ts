/** How HAProxy is reloaded, as `haproxy.reload` has it. */
export type ReloadKind = "master" | "sf";

/**
 * How the operators of the tests reload it: the variable SLUICE_TEST_RELOAD. Of what belongs to a master alone its tests
 * have another form for `sf`, or there is nothing of it to test.
 */
export const reloadKind: ReloadKind = kindOf(process.env["SLUICE_TEST_RELOAD"]);

function kindOf(word: string | undefined): ReloadKind {
  if (word === undefined || word === "" || word === "master") return "master";
  if (word === "sf") return "sf";
  throw new Error(`SLUICE_TEST_RELOAD is ${word}, neither master nor sf`);
}
