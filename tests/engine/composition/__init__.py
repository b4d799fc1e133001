"""Tests of compositions: signals and filters with a sizer and exits."""
