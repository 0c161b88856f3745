-- catalogue.lua - what this shop sells: how its table files are called and read, how their rows are
-- cleaned, and which attributes make two things the same product. A shop that sells books edits this.
--
-- Everything here is data and SQL. Beside what SQLite has there are text_clean, text_squeeze, number_of,
-- date_of, leading_digits, interval_of, round_even, mode, median and others.
--
-- Rows live in two tables: `raw` holds the cells as they are in the files, `item` what was made of them.

local PRICE_BREAKS = "0, 689.999, 2490, 3990, 5590, 7390, 8590, 11990, 9e999"

-- '19' or '20' begin a year; fewer than four digits are completed: 20 is 2000, 198? is 1989.
local YEAR_OF_RELEASE = [[
  CASE WHEN text_clean(raw.release_year) GLOB '19*' OR text_clean(raw.release_year) GLOB '20*' THEN
    CAST(CASE WHEN length(leading_digits(text_clean(raw.release_year))) >= 4
      THEN substr(leading_digits(text_clean(raw.release_year)), 1, 9)
      ELSE substr(leading_digits(text_clean(raw.release_year)) ||
                  iif(text_clean(raw.release_year) GLOB '2*', '00', '99'), 1, 4) END AS INTEGER) END]]

return {
  -- headers: what files call it, whatever the case. stock, sales: whether files of the kind must have it
  -- ("required"), may ("optional"), or do not (left out). read: from the cell to the value.
  -- book.epoch is 1904 for workbooks that count days from there.
  columns = {
    { name = "barcode", headers = { "Штрихкод", "Barcode" }, stock = "required", sales = "required",
      read = "coalesce(nullif(ltrim(text_squeeze(raw.barcode), '0'), ''), 'None')" },
    { name = "artist", headers = { "Исполнитель" }, stock = "required", sales = "required",
      read = "text_clean(raw.artist)" },
    { name = "album", headers = { "Альбом" }, stock = "required", sales = "required",
      read = "text_clean(raw.album)" },
    { name = "cover_type", headers = { "Конверт" }, stock = "required", sales = "required",
      read = "text_clean(raw.cover_type)" },
    { name = "price", headers = { "Цена, руб." }, stock = "required", sales = "required",
      read = "CAST(number_of(raw.price) AS INTEGER)" },
    { name = "release_type", headers = { "Тип" }, stock = "required", sales = "required",
      read = "text_clean(raw.release_type)" },
    { name = "recording_year", headers = { "Год записи" }, stock = "required", sales = "required",
      read = "CAST(number_of(raw.recording_year) AS INTEGER)" },
    { name = "release_year", headers = { "Год выпуска" }, stock = "required", sales = "required",
      read = YEAR_OF_RELEASE },
    { name = "style", headers = { "Стиль" }, stock = "required", sales = "required",
      read = "coalesce(text_clean(raw.style), 'None')" },
    { name = "created_date", headers = { "Дата создания", "Дата добавления" }, stock = "required", sales = "required",
      read = "date_of(raw.created_date, book.epoch)" },
    { name = "count", headers = { "Экземпляры", "Количество" }, stock = "required", sales = "optional",
      read = "coalesce(CAST(number_of(raw.count) AS INTEGER), 1)" },
    { name = "sold_date", headers = { "Дата заказа", "Дата продажи" }, sales = "required",
      read = "date_of(raw.sold_date, book.epoch)" },
  },

  -- Rows that cannot be used. The first condition that holds is the reason.
  rejects = {
    { column = "artist", reason = "missing", when = "item.artist IS NULL" },
    { column = "album", reason = "missing", when = "item.album IS NULL" },
    { column = "created_date", reason = "missing", when = "text_clean(raw.created_date) IS NULL" },
    { column = "created_date", reason = "unreadable", when = "item.created_date IS NULL" },
    { column = "price", reason = "missing", when = "text_clean(raw.price) IS NULL" },
    { column = "price", reason = "unreadable", when = "item.price IS NULL" },
    { column = "price", reason = "not_positive", when = "item.price < 1" },
    { column = "recording_year", reason = "missing", when = "text_clean(raw.recording_year) IS NULL" },
    { column = "recording_year", reason = "unreadable", when = "item.recording_year IS NULL" },
    { column = "sold_date", reason = "missing", when = "item.kind = 'sales' AND text_clean(raw.sold_date) IS NULL" },
    { column = "sold_date", reason = "unreadable", when = "item.kind = 'sales' AND item.sold_date IS NULL" },
  },

  -- Over the rows of all files together, in this order. setting.current_year is the year of today,
  -- stored_style what albums of earlier uploads have.
  rules = {
    { name = "years", sql = [[
      UPDATE item SET release_year = recording_year WHERE release_type = 'Оригинал';
      CREATE TABLE gap AS
        SELECT CASE WHEN count(*) > 10 THEN round_even(total(release_year - recording_year), count(*))
               ELSE 15 END AS years
        FROM item WHERE release_type IS NOT 'Оригинал' AND release_year IS NOT NULL;
      UPDATE item SET release_year = recording_year + (SELECT years FROM gap)
        WHERE release_type IS NOT 'Оригинал' AND (release_year IS NULL OR release_year < recording_year);
    ]] },
    { name = "decades and price category", sql = [[
      UPDATE item SET
        recording_decade = iif(recording_year < 1950, '<1950', (recording_year / 10 * 10) || 's'),
        release_decade = iif(release_year < 1950, '<1950',
                             (min(release_year, (SELECT current_year FROM setting)) / 10 * 10) || 's'),
        recording_year = max(1950, min(recording_year, (SELECT current_year FROM setting))),
        release_year = min(release_year, (SELECT current_year FROM setting)),
        price_category = interval_of(price, ]] .. PRICE_BREAKS .. [[),
        release_type = coalesce(release_type, 'None');
    ]] },
    { name = "cover", sql = [[
      CREATE TABLE cover_of_album AS
        SELECT artist, album, release_decade, mode(cover_type) AS cover_type
        FROM item WHERE cover_type IS NOT NULL GROUP BY artist, album, release_decade;
      CREATE INDEX cover_of_album_key ON cover_of_album(artist, album, release_decade);
      UPDATE item SET cover_type = (SELECT c.cover_type FROM cover_of_album c
          WHERE (c.artist, c.album, c.release_decade) = (item.artist, item.album, item.release_decade))
        WHERE cover_type IS NULL;
      CREATE TABLE cover_of_price AS
        SELECT price_category, release_decade, mode(cover_type) AS cover_type
        FROM item WHERE cover_type IS NOT NULL GROUP BY price_category, release_decade;
      UPDATE item SET cover_type = iif(coalesce(cover_type, (SELECT c.cover_type FROM cover_of_price c
          WHERE (c.price_category, c.release_decade) = (item.price_category, item.release_decade))) = 'SS',
        'Sealed', 'Opened');
    ]] },
    { name = "style", sql = [[
      CREATE TABLE style_of_album AS
        SELECT artist, album, mode(style) AS style FROM item GROUP BY artist, album;
      UPDATE style_of_album SET style = s.style FROM stored_style s
        WHERE (s.artist, s.album) = (style_of_album.artist, style_of_album.album);
      CREATE INDEX style_of_album_key ON style_of_album(artist, album);
      UPDATE item SET style = (SELECT s.style FROM style_of_album s
          WHERE (s.artist, s.album) = (item.artist, item.album))
        WHERE style IS NOT (SELECT s.style FROM style_of_album s
          WHERE (s.artist, s.album) = (item.artist, item.album));
    ]] },
  },

  -- As `rejects`, but after the rules: these rows had their say in them.
  late_rejects = {
    { column = "count", reason = "negative", when = "item.count < 0" },
    { column = "count", reason = "too_large", when = "item.count > 1000000000" },
    { column = "count", reason = "not_positive", when = "item.kind = 'sales' AND item.count = 0" },
  },

  -- Columns that rules fill, beside those that are read.
  derived = { "price_category", "recording_decade", "release_decade" },
}
