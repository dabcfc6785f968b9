<?php
// Shows which container answered, and what the load balancer said of the request.
header('Cache-Control: no-store');
header('X-Hostname: ' . gethostname());

function text(string $value): string
{
    return htmlspecialchars($value, ENT_QUOTES | ENT_SUBSTITUTE | ENT_HTML5, 'UTF-8');
}

$shown = ['Host', 'X-Forwarded-For', 'X-Forwarded-Port', 'X-Forwarded-Proto'];
$headers = array_change_key_case(getallheaders(), CASE_LOWER);
?>
<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title><?= text(gethostname()) ?></title>
</head>
<body>
  <h1><?= text(gethostname()) ?></h1>
  <p>Address: <?= text($_SERVER['SERVER_ADDR']) ?></p>
  <dl>
<?php foreach ($shown as $name): ?>
    <dt><?= text($name) ?></dt><dd><?= text($headers[strtolower($name)] ?? '-') ?></dd>
<?php endforeach ?>
  </dl>
</body>
</html>
