"""The alert list and the page of one alert."""
