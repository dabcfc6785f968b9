/** Registrator's options, and ours where they are called otherwise. */
const options: ReadonlyMap<string, { readonly name: string; readonly flag?: true }> = new Map([
  ["internal", { name: "--internal", flag: true }],
  ["explicit", { name: "--explicit", flag: true }],
  ["cleanup", { name: "--cleanup", flag: true }],
  ["ip", { name: "--ip" }],
  ["useIpFromLabel", { name: "--ip-from-label" }],
  ["tags", { name: "--tags" }],
  ["resync", { name: "--resync" }],
  ["ttl", { name: "--ttl" }],
  ["ttl-refresh", { name: "--ttl-refresh" }],
  ["deregister", { name: "--deregister" }],
  ["retry-attempts", { name: "--retry-attempts" }],
  ["retry-interval", { name: "--retry-interval" }],
]);

/**
 * Registrator's command line in our words: its options are Go's, with one dash or two, and `-internal=true` where one
 * likes. What is not one of its options stays as it is.
 */
export function fromRegistrator(words: readonly string[]): readonly string[] {
  return words.flatMap((word) => {
    const [, name = "", value] = /^--?([A-Za-z-]+)(?:=(.*))?$/s.exec(word) ?? [];
    const option = options.get(name);
    if (option === undefined) return [word];
    if (option.flag !== true) return value === undefined ? [option.name] : [option.name, value];
    if (value === undefined || /^(1|t|true)$/i.test(value)) return [option.name];
    return /^(0|f|false)$/i.test(value) ? [] : [word];
  });
}
