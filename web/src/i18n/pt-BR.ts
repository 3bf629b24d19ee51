/** The page in Brazilian Portuguese. */

import type { Catalogue } from "./messages";

export const ptBR: Catalogue = {
  "app.skip": "Pular para o conteúdo",
  "app.notFound": "Não há nada neste endereço",
  "app.notFoundHint": "Talvez tenha sido excluído, ou o endereço tem um erro.",
  "app.toVideos": "Para os seus vídeos",
  "theme.label": "Aparência",
  "theme.auto": "Como o sistema",
  "theme.light": "Clara",
  "theme.dark": "Escura",
};
