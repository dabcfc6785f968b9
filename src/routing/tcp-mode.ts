import type { OptionKey, Options } from "../settings/options/table.ts";

/** What is done with requests; there are none where bytes are passed on as they are. */
const ofRequests =
  /^(path|method|header|strip|prepend|rewrite|host-header|redirect|https-redirect|hsts|auth|rate|cors\..+|canary\..+|sticky|compression|(request|response)-header\..+|error-page)$/;
/** Algorithms that take what only HTTP has (configuration manual 4.2, `balance`). */
const balancingRequests = /^(uri|url_param|hdr|hash (?!src|dst|ssl_))\b/;

/** Whether an option means nothing in mode tcp, as it is set. */
export function isOfRequests(key: OptionKey, { balance }: Pick<Options, "balance">): boolean {
  return key === "balance" ? balance !== undefined && balancingRequests.test(balance) : ofRequests.test(key);
}
