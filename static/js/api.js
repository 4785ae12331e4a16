// The page that describes the API: Swagger's own, told where our document is and which CSRF token changes need.
const place = document.getElementById("swagger-ui");

// Swagger has a dark theme of its own; it follows ours.
const root = document.documentElement;
const follow = () => root.classList.toggle("dark-mode", root.dataset.bsTheme === "dark");
new MutationObserver(follow).observe(root, { attributes: true, attributeFilter: ["data-bs-theme"] });
follow();

SwaggerUIBundle({
  url: place.dataset.document,
  domNode: place,
  deepLinking: false, // or a link stands inside each button
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis],
  validatorUrl: null,
  tryItOutEnabled: false,
  requestInterceptor: (request) => {
    request.headers["X-CSRFToken"] = place.dataset.csrfToken;
    return request;
  },
});
