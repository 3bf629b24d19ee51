/** The mail that shows whose address it is. */

import { api, ask } from "../api/client";
import { sentence } from "../api/refusals";
import { t } from "../i18n/index.svelte";
import { notices } from "../shell/notices.svelte";

export async function mailAgain(email: string) {
  try {
    await ask(api.POST("/auth/email/resend"));
    notices.tell(t("confirm.sent", { email }));
  } catch (error) {
    notices.tell(sentence(error), { isBad: true });
  }
}
