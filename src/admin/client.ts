import axios from "axios";
import { SluiceError } from "../support/errors.ts";

/**
 * Asks the running operator over its admin socket.
 *
 * @throws {SluiceError} ERR_ADMIN_UNREACHABLE when nobody answers there
 */
export async function askOperator<T>(socketPath: string, path: string, method: "GET" | "POST" = "GET"): Promise<T> {
  try {
    const { data } = await axios.request<T>({
      method,
      url: `http://sluice${path}`,
      socketPath,
      // Without a body axios says a form is coming, which the server does not take.
      ...(method === "POST" && { data: {} }),
      timeout: 10_000,
      maxRedirects: 0,
      proxy: false,
    });
    return data;
  } catch (thrown) {
    const reason = axios.isAxiosError(thrown) ? (thrown.code ?? thrown.message) : String(thrown);
    throw new SluiceError(
      "ERR_ADMIN_UNREACHABLE",
      `no operator answers at ${socketPath} (${reason}); start one with \`sluice run\`, or name its state directory with --haproxy-directory`,
      { cause: thrown, retryable: true },
    );
  }
}
