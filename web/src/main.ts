import { mount } from "svelte";
import App from "./App.svelte";
import { language } from "./i18n/index.svelte";
import { router } from "./router.svelte";
import "./styles/app.css";
import "./styles/controls.css";

const target = document.getElementById("app");
if (!target) throw new Error("index.html has no #app");

await language.start();
router.start();
mount(App, { target });
