"""A webhook consumer for NICE CXone Data Actions."""
