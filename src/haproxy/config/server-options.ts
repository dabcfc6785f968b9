/** What the words behind a server's address say, apart from what Sluice handles by itself. */
export interface ServerOptions {
  /** Undefined where no `weight` is among the words. */
  readonly weight: number | undefined;
  /** True for `disabled`, false for `enabled`; undefined where neither is among the words. */
  readonly maintenance: boolean | undefined;
  /** All other words, in order. */
  readonly others: readonly string[];
}

/**
 * Words of server lines that the next word belongs to (configuration manual 5.2), so that `cookie weight` or
 * `sni disabled` is not taken for something else. Words that take an argument only in parentheses are not here.
 */
const withArgument: ReadonlySet<string> = new Set(
  `addr agent-addr agent-inter agent-port agent-send alpn ca-file cc check-alpn check-pool-conn-name check-proto check-sni
  ciphers ciphersuites client-sigalgs cookie crl-file crt curves downinter error-limit fall fastinter guid hash-key id
  idle-ping init-addr init-state inter log-bufsize log-proto maxconn maxqueue max-reuse minconn namespace npn observe
  on-error on-marked-down on-marked-up pool-conn-name pool-low-conn pool-max-conn pool-purge-delay port proto
  proxy-v2-options redir resolvers resolve-net resolve-opts resolve-prefer rise shard sigalgs slowstart sni socks4
  sni-auto-name source interface usesrc ssl-max-ver ssl-min-ver tcp-md5sig tcp-ut tls-tickets track verify verifyhost
  weight ws`.split(/\s+/),
);

/** `set-proxy-v2-tlv-fmt(0x20)` and the like: an argument in parentheses and one behind. */
const withBothArguments = /^set-proxy-v2-tlv-fmt\(/;

/** Takes the words behind a server's address, or behind `default-server`, apart. The last word of a kind counts. */
export function parseServerOptions(words: readonly string[]): ServerOptions {
  let weight: number | undefined;
  let maintenance: boolean | undefined;
  const others: string[] = [];
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] as string;
    const argument = words[at + 1];
    if (word === "weight" && argument !== undefined && /^\d{1,3}$/.test(argument) && Number(argument) <= 256) {
      weight = Number(argument);
      at += 1;
    } else if (word === "disabled" || word === "enabled") {
      maintenance = word === "disabled";
    } else {
      others.push(word);
      if (argument !== undefined && (withArgument.has(word) || withBothArguments.test(word))) {
        others.push(argument);
        at += 1;
      }
    }
  }
  return { weight, maintenance, others };
}
