// Small manners of the pages: menus that close, toasts that leave, the drawer, the search box.
// Each works without this file as well; see the templates.
(() => {
  const TOAST_SECONDS = 7;

  // Menus and questions (<details class="menu-pop">, "ask"): Escape and a click elsewhere close them.
  const openMenus = () => document.querySelectorAll("details:is(.menu-pop, .ask)[open]");
  document.addEventListener("click", (event) => {
    for (const menu of openMenus()) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of openMenus()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  // Facets stand open where there is room for them, folded on a phone.
  const wide = matchMedia("(min-width: 60rem)");
  const unfold = () => {
    for (const box of document.querySelectorAll("details.facet-folded")) box.open = wide.matches;
  };
  wide.addEventListener("change", unfold);

  // Toasts: each leaves by itself unless the pointer or the focus rests on it.
  const watchToast = (toast) => {
    if (toast.dataset.watched) return;
    toast.dataset.watched = "yes";
    const leave = () => {
      if (toast.matches(":hover, :focus-within")) setTimeout(leave, 2000);
      else toast.remove();
    };
    if (!toast.classList.contains("error")) setTimeout(leave, TOAST_SECONDS * 1000);
  };
  document.addEventListener("click", (event) => {
    event.target.closest("[data-dismiss]")?.closest(".toast-line")?.remove();
  });

  // The drawer: a link with data-drawer loads its page's fragment; without scripts it is a link.
  const drawer = () => document.getElementById("drawer");
  let opener = null;
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-drawer]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    const body = drawer().querySelector(".drawer-body");
    opener = link;
    body.setAttribute("aria-busy", "true");
    body.textContent = drawer().dataset.loading;
    drawer().showModal();
    try {
      const answer = await fetch(link.href, { headers: { "HX-Request": "true" } });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      body.innerHTML = await answer.text();
    } catch {
      body.textContent = drawer().dataset.failed;
    }
    body.removeAttribute("aria-busy");
    drawer().scrollTop = 0;
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-drawer-close]") || event.target === drawer()) drawer()?.close();
  });

  // The search box: a combobox over the list of links that htmx puts into [data-finder-list].
  const finderOf = (node) => node.closest?.("[data-finder]");
  const partsOf = (finder) => {
    const input = finder.querySelector("input[type=search]");
    const list = finder.querySelector("[data-finder-list]");
    return { input, list, options: [...list.querySelectorAll("[role=option]")] };
  };
  const choose = (finder, index) => {
    const { input, options } = partsOf(finder);
    options.forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    if (options[index]) {
      input.setAttribute("aria-activedescendant", options[index].id);
      options[index].scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  };
  const fold = (finder, open) => {
    const { input, list, options } = partsOf(finder);
    const shown = open && options.length > 0;
    list.hidden = !shown;
    input.setAttribute("aria-expanded", String(shown));
    if (!shown) choose(finder, -1);
  };
  document.addEventListener("keydown", (event) => {
    const finder = finderOf(event.target);
    if (!finder || event.target.type !== "search") return;
    const { list, options } = partsOf(finder);
    const now = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!options.length) return;
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (list.hidden) fold(finder, true);
      // -1 stands for the text field itself, so that going round passes through it.
      choose(finder, ((now + 1 + step + options.length + 1) % (options.length + 1)) - 1);
    } else if (event.key === "Enter" && now >= 0 && !list.hidden) {
      event.preventDefault();
      options[now].click();
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      fold(finder, false);
    }
  });
  document.addEventListener("focusin", (event) => {
    for (const finder of document.querySelectorAll("[data-finder]"))
      fold(finder, finder.contains(event.target) && event.target.type === "search");
  });
  document.addEventListener("click", (event) => {
    for (const finder of document.querySelectorAll("[data-finder]"))
      if (!finder.contains(event.target)) fold(finder, false);
  });

  // A select or checkbox with data-submit sends its form at once; the button beside it is for no-JS.
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
  });

  // A form that is sent says so at once, on the button that sent it, until the next page is there.
  // (One that htmx sends has prevented the event, and shows what it loads in its own place.)
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.getAttribute("method") !== "post") return;
    form.setAttribute("aria-busy", "true");
    const button = event.submitter;
    if (!button?.matches(".btn") || button.querySelector("[data-sending]")) return;
    const spinner = document.createElement("span");
    spinner.className = "loading loading-spinner loading-xs";
    spinner.dataset.sending = "";
    spinner.setAttribute("aria-hidden", "true");
    button.prepend(spinner);
  });
  addEventListener("pageshow", () => {
    document.querySelectorAll("form[aria-busy]").forEach((form) => form.removeAttribute("aria-busy"));
    document.querySelectorAll("[data-sending]").forEach((spinner) => spinner.remove());
  });

  // When a swap takes away what had the focus, the focus goes to the heading of the same section.
  let focused = null;
  document.addEventListener("focusin", ({ target }) => {
    focused = { target, section: target.closest("section[id]")?.id };
  });
  const keepFocus = () => {
    if (!focused?.section || focused.target.isConnected) return;
    if (document.activeElement !== document.body) return;
    const heading = document.getElementById(focused.section)?.querySelector("h2");
    if (!heading) return;
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  };

  // What arrives later (htmx, toasts) gets the same manners.
  const greet = () => {
    document.querySelectorAll(".toast-line").forEach(watchToast);
  };
  new MutationObserver((changes) => {
    greet();
    keepFocus();
    for (const { target } of changes) {
      if (!(target instanceof Element) || !target.matches("[data-finder-list]")) continue;
      const finder = finderOf(target);
      fold(finder, finder.contains(document.activeElement));
    }
  }).observe(document.documentElement, { childList: true, subtree: true });

  document.addEventListener("DOMContentLoaded", () => {
    unfold();
    greet();
    drawer()?.addEventListener("close", () => opener?.focus());
  });
})();
